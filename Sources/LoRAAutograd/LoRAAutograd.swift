// LoRAAutograd
