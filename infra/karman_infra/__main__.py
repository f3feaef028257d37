"""`python -m karman_infra`: Karman's own app, from wherever it is installed."""

from karman_infra.app import main

main()
