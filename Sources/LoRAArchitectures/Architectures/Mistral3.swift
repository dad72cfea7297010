extension Architecture {
  /// Mistral Small 3.1 and 3.2, and Ministral 3: Mistral's or Ministral 3's text with a tower for images;
  /// the text part.
  ///
  /// Source: Mistral AI, *Mistral Small 3.1*, 2025; names and options are those of transformers.
  public static let mistral3 = mistral.textPart(
    of: "mistral3", "Mistral3ForConditionalGeneration", ggufName: "mistral3",
    modelTypes: ["mistral"], otherKeys: ["ministral3": ministral3.keys],
    images: ["vision_tower", "multi_modal_projector"])
}
