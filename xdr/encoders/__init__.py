"""Encoders turn queries or passages into vectors.

- encoder: Encoder, load_encoder
- open_encoder: open_encoder
- fingerprints: fingerprint_encoder, fingerprint_model
- input_format: EncoderOptions, LoraOptions, InputFormat
- models: TransformerBiEncoder, StaticBiEncoder, SmallBiEncoder
- pooling: POOLINGS
- vector_layers: Dense, Normalize
- encoder_folder: save_encoder, load_encoder_folder, is_encoder_folder
- inference: prepared_for_inference
- encoding: encode_texts, encode_sums
- tokenization: TextTokenizer
- texts: Texts, texts_of
- bi_encoder: BiEncoder
"""
