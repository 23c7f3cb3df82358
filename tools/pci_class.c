#include "tools/pci_class.h"

#include <stddef.h>

#include "vmm/base/bits.h"

/* PCI Code and ID Assignment 1.11, 1. Class Codes. The first that matches counts. */
static const struct {
	uint32_t code, mask;
	const char *name;
} classes[] = {
	{0x010600, 0xffff00, "SATA controller"},
	{0x010800, 0xffff00, "NVMe controller"},
	{0x010000, 0xff0000, "storage controller"},
	{0x020000, 0xffff00, "Ethernet controller"},
	{0x020000, 0xff0000, "network controller"},
	{0x030000, 0xffff00, "VGA controller"},
	{0x030200, 0xffff00, "3D controller"},
	{0x030000, 0xff0000, "display controller"},
	{0x040000, 0xff0000, "audio or video device"},
	{0x050000, 0xff0000, "memory controller"},
	{0x060400, 0xffff00, "PCI bridge"},
	{0x060000, 0xff0000, "bridge"},
	{0x070000, 0xff0000, "communication controller"},
	{0x080000, 0xff0000, "system peripheral"},
	{0x0c0300, 0xffff00, "USB controller"},
	{0x0c8000, 0xffff00, "serial bus controller"}, /* UCSI of a card with USB-C */
	{0x0c0000, 0xff0000, "serial bus controller"},
	{0x0d0000, 0xff0000, "wireless controller"},
	{0x120000, 0xff0000, "processing accelerator"},
};

const char *pci_class_name(uint32_t class)
{
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if ((class & classes[i].mask) == classes[i].code)
			return classes[i].name;
	return "device";
}

bool pci_class_is_bridge(uint32_t class)
{
	return class >> 16 == 0x06;
}
