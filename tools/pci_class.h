/*
 * What a PCI function is, in words.
 */
#ifndef TOOLS_PCI_CLASS_H
#define TOOLS_PCI_CLASS_H

#include <stdbool.h>
#include <stdint.h>

/* `class` has 24 bits. "VGA controller"; "device" where nothing better is known. */
const char *pci_class_name(uint32_t class);

bool pci_class_is_bridge(uint32_t class);

#endif
