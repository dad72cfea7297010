// LoRATensor
