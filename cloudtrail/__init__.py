"""CloudTrail: trails as configuration, log files pulled from S3, events attributed to people, and what they touched."""
