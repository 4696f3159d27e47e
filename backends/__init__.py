"""Writers and runners: from the small graph to something that can be run."""
