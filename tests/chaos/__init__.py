"""Real faults on real servers: nothing is lost, nothing is counted twice.

A six-node Redis Cluster, an S3 and SQS server as adverse as these may be (`sqs`), `fastfold worker` with four worker
processes, and pieces of the real files.  Scenarios are listed in `plan`; `python -m chaos --help` runs them.
"""
