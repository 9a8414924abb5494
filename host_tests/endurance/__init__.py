"""Long runs: of the slots over real lwIP, and of SIM against the controller's time-outs.

`python -m endurance churn|interrupt|transfer|soak|pauses --help`.
"""
