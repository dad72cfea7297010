extension Architecture {
  /// Qwen2-VL: Qwen2 with a tower for images; its text part. Where there are no images, the three
  /// positions that its rotary embedding turns by are the same.
  ///
  /// Source: Wang et al., *Qwen2-VL: enhancing vision-language model's perception of the world at any
  /// resolution*, 2024; names and options are those of transformers.
  public static let qwen2VL = qwen2.textPart(
    of: "qwen2_vl", "Qwen2VLForConditionalGeneration", ggufName: "qwen2vl",
    modelTypes: ["qwen2_vl_text", "qwen2_vl"], keys: keysOfQwenVL, images: ["visual"], areFlat: true
  )

  /// Qwen2.5-VL: the same text part.
  ///
  /// Source: Bai et al., *Qwen2.5-VL technical report*, 2025.
  public static let qwen25VL = qwen2.textPart(
    of: "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", ggufName: "qwen2vl",
    modelTypes: ["qwen2_5_vl_text", "qwen2_5_vl"], keys: keysOfQwenVL, images: ["visual"],
    areFlat: true)

  private static let keysOfQwenVL =
    ConfigurationKey.decoder(
      hiddenSize: 8192, headCount: 64, layerCount: 80, intermediateSize: 29568,
      maximumPositions: 32768, keyValueHeadCount: 8, vocabularySize: 152_064, normEpsilon: 1e-5,
      rotary: .rotary(base: 1_000_000), bos: 151_643, eos: [151_645])
    + ConfigurationKey.windowsByLayerType
}
