"""What `deploy/local-cluster` starts: the processes, the three services and the command."""
