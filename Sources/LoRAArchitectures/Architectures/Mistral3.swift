extension Architecture {
  /// Mistral Small 3.1 and 3.2: Mistral with a tower for images; its text part.
  ///
  /// Source: Mistral AI, *Mistral Small 3.1*, 2025; names and options are those of transformers.
  public static let mistral3 = mistral.textPart(
    of: "mistral3", "Mistral3ForConditionalGeneration", ggufName: "mistral3",
    modelTypes: ["mistral"],
    images: ["vision_tower", "multi_modal_projector"])
}
