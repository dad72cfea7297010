// LoRAWorld
