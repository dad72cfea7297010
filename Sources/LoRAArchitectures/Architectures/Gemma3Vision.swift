extension Architecture {
  /// Gemma 3 with a tower for images, as it is published from 4B on: its text part.
  ///
  /// Source: Gemma Team, *Gemma 3 technical report*, 2025; names and options are those of transformers.
  public static let gemma3Vision = gemma3.textPart(
    of: "gemma3", "Gemma3ForConditionalGeneration", modelTypes: ["gemma3_text"],
    images: ["vision_tower", "multi_modal_projector"])
}
