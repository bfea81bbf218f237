"""Which of the two wire contracts a request speaks: that of 3.x or that of 4.x programs."""
