"""Teachers: models that say how well passages answer queries, for a smaller model to learn from.

teacher:          Teacher, LoadedTeacher, TeacherSettings: what every teacher does (needs no torch)
teachers:         EncoderTeacher, LateInteractionTeacher, CrossEncoderTeacher, GeneratorTeacher: settings (needs no torch)
pair_encoder:     PairEncoder: inner products of an encoder's vectors
cross_encoder:    CrossEncoder: a sequence classifier that reads query and passage together
query_likelihood: QueryLikelihood: how likely a generator would ask the query about the passage
settings:         ListSettings, LabelRules (needs no torch)
lists:            Lists, TaughtList, read_lists: what is scored (needs no torch)
translations:     translations_of: queries in the other wording
scores:           TaughtScores, open_scores, write_scores: scores on disk
taught_examples:  examples_with_scores: training examples with these scores
labelling:        labelled_examples, write_examples: a training set from a run (needs no torch)
mining:           mine, read_mined: a round of mining after its retrieval, and its training examples (needs no torch)
"""
