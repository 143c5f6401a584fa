"""Plan, approval, locks and the verbs that change a cluster."""
