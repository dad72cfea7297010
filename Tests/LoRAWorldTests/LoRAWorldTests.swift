// LoRAWorldTests
