"""Records of what each stored artifact was made from, with checksums that show whether it is complete.

fingerprint: Json, fingerprint, checksum_file
sources: identify_files
files: replacing_file, creating_folder, remove_leftovers, read_json, write_json
ledger: ShardLedger, refusing_damage
locks: lock, locked, alone_in
jobs: Job, State, job_name, claiming, read_job, read_jobs, write_listing, is_sweep
model_folders: ENCODER, PASSAGE_ENCODER, GENERATOR, MODEL
"""
