"""Every decision of the server is made here, and nowhere else."""
