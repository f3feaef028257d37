"""An example: a paginated API that throttles and fails, harvested into one file that is known to be whole."""
