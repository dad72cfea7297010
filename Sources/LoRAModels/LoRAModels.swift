// LoRAModels
