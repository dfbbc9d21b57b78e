"""Recording to recording; fitted on training frames only."""
