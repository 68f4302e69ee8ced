"""What queues, workers and schedules do unless somebody says otherwise. The grammar of the command line names it, so it loads nothing."""

DEFAULT_QUEUE = "default"
RUNS_AT_ONCE = 20  # of a worker
GRACE = 30.0  # seconds that the runs of a worker have to end when it is to stop
LINGER = 5.0  # seconds that a run which only waits is kept in its process
DEATHS = 5  # of owners of a run, without a new success between them: then it is taken to be what kills them
OVERLAPS = ("queue", "skip", "allow")  # of schedules; the first is what holds where nobody says anything
CATCH_UPS = ("latest", "all", "none")  # as above
