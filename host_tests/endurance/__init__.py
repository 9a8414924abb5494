"""Long runs of the slots over real lwIP: `python -m endurance churn|interrupt|transfer --help`."""
