"""Work on a collection in shards, which any number of processes make and resume.

shards: Shards, InRows, Sources, queries_as_sources
shard_module: ShardModule, run_probe
shard_run: make_trainer, ShardProgress
progress: counting
disk_space: require_room, explaining_the_disk
memory: measured_memory, explaining_device_memory
plan: PlannedStage, Term, measured_time, plan_table
encode: the vectors of a collection
generate: the generated texts of a collection
teach: the scores of a teacher
"""
