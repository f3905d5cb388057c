"""How often an audit states what is wrong, where the truth is known: simulated audits."""
