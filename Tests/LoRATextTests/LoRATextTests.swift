// LoRATextTests
