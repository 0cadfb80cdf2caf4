"""Late interaction: a vector for each token, and MaxSim as the score.

- token_encoder: TokenEncoder, TokenChoice
- max_similarity: max_similarity, max_similarity_of_pairs
- token_encoder_folder: open_token_encoder, load_token_encoder, save_token_encoder
- models: Colbert
- scorer: LateInteraction, load_late_interaction
- reranking: Reranking
- token_alignment: aligned, alignment_losses
"""
