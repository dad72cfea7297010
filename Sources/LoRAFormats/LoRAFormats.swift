// LoRAFormats
