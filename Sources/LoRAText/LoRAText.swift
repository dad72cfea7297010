// LoRAText
