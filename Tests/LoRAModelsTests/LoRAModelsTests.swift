// LoRAModelsTests
