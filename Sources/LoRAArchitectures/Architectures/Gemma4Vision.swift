extension Architecture {
  /// Gemma 4 as it is published, with towers for images and sounds: its text part.
  ///
  /// Source: Google DeepMind, *Gemma 4*, 2026; names and options are those of transformers.
  public static let gemma4Vision = gemma4.textPart(
    of: "gemma4", "Gemma4ForConditionalGeneration", modelTypes: ["gemma4_text"],
    images: ["vision_tower", "embed_vision", "audio_tower", "embed_audio"])
}
