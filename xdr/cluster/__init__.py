"""Work on a Ray cluster: shards are made, and searched, by workers that run the same command.

joining: joined                a cluster, joined or started
parts: Parts                  which parts of the work are done, under way, and to be done again
ray_engine: RayEngine         in the command's own process: starts workers, replaces those that die
worker: Worker, OfWorker      in a worker's process
"""
