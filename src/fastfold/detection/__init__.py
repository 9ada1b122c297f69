"""Detection: from the events of a batch to marks, to the record of a host, to what is raised."""
