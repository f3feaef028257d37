"""`karman`, with all the time that a slow machine needs to give work back when it is stopped."""

from karman_cli.main import main
from karman_runtime import worker

worker.GIVE_BACK_SECONDS = 60.0

if __name__ == "__main__":
    main()
