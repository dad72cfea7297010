// LoRATrainingTests
