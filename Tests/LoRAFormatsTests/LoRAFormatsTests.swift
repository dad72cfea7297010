// LoRAFormatsTests
