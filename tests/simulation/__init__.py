"""A deterministic simulator of workers, Redis, SQS and S3 around the program's own protocol code.

::

    scheduler   clock, tasks, processes: who runs when, drawn from the seed
    threads     threading, queue and time for the modules of the program, on the scheduler
    redis_node  a server, its replica, and connections that are cut, late, or lose replies
    redis_fleet slots, failover, and moves of slots
    aws         SQS and S3 that do all that the real ones are allowed to do
    scenario    what a seed draws: files, rules, workers, faults
    pod         workers made of the program's parts; killed, frozen, drained, started again
    run         one seed from start to rest
    judge       what must hold then
    rules       rules over files, what they find in one, and the alerts that must come of it
    sinks       receivers of alerts that fail, hang, refuse, or lose their answers
    judge_alerts  what must hold of alerts then
    mutants     faults put into the protocol (mutant, mutants_alerts), to see that they are found

``python -m simulation --seed N`` replays a seed; the same seed gives the same run, step by step.
"""
