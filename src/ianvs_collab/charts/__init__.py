"""Pictures that both leaderboards and routers draw; they know nothing of either."""
