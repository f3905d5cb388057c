"""Images decoded and fitted: small ones here and now, others in processes that can be ended.

It names none of its modules, as a process that decodes imports one of them alone: `worker`.
"""
