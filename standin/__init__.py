"""A guarded stand-in for S3, KMS, STS and CloudTrail, for the demo and the tests. Never for regulated data.

It is moto's server with three things added: `guards` refuse what AWS refuses and moto lets through, `trail` delivers
CloudTrail log files about the requests that it served, and `journal` keeps the objects on disk between two starts.
`python -m standin --help` tells how to run it; `standin.process.start()` runs it as a child process.
"""
