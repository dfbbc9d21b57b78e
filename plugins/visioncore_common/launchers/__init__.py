"""Where the processes of a run come from. Nothing here loads torch unless torch has loaded it."""
