// LoRAKit
