#ifndef LORA_KERNELS_H
#define LORA_KERNELS_H
#endif
