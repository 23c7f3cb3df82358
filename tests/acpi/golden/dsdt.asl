// What acpi/dsdt.c makes for the sample machine of tests/acpi/sample.h. Compiled with `iasl -oa`;
// see README in this directory.
DefinitionBlock ("", "DSDT", 2, "MINIVM", "MACHINE ", 1)
{
    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_SEG, Zero)
            Name (_BBN, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x003F, 0x0000, 0x0040)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x1000, 0xFFFF, 0x0000, 0xF000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0x00000000, 0xC0000000, 0xDFFFFFFF, 0x00000000, 0x20000000)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0x0000000000000000, 0x0000004000000000, 0x0000007FFFFFFFFF,
                    0x0000000000000000, 0x0000004000000000)
            })
            Name (_PRT, Package (128)
            {
                Package (4) { 0xFFFF, Zero, Zero, 16 },
                Package (4) { 0xFFFF, One, Zero, 17 },
                Package (4) { 0xFFFF, 2, Zero, 18 },
                Package (4) { 0xFFFF, 3, Zero, 19 },
                Package (4) { 0x0001FFFF, Zero, Zero, 17 },
                Package (4) { 0x0001FFFF, One, Zero, 18 },
                Package (4) { 0x0001FFFF, 2, Zero, 19 },
                Package (4) { 0x0001FFFF, 3, Zero, 20 },
                Package (4) { 0x0002FFFF, Zero, Zero, 18 },
                Package (4) { 0x0002FFFF, One, Zero, 19 },
                Package (4) { 0x0002FFFF, 2, Zero, 20 },
                Package (4) { 0x0002FFFF, 3, Zero, 21 },
                Package (4) { 0x0003FFFF, Zero, Zero, 19 },
                Package (4) { 0x0003FFFF, One, Zero, 20 },
                Package (4) { 0x0003FFFF, 2, Zero, 21 },
                Package (4) { 0x0003FFFF, 3, Zero, 22 },
                Package (4) { 0x0004FFFF, Zero, Zero, 20 },
                Package (4) { 0x0004FFFF, One, Zero, 21 },
                Package (4) { 0x0004FFFF, 2, Zero, 22 },
                Package (4) { 0x0004FFFF, 3, Zero, 23 },
                Package (4) { 0x0005FFFF, Zero, Zero, 21 },
                Package (4) { 0x0005FFFF, One, Zero, 22 },
                Package (4) { 0x0005FFFF, 2, Zero, 23 },
                Package (4) { 0x0005FFFF, 3, Zero, 16 },
                Package (4) { 0x0006FFFF, Zero, Zero, 22 },
                Package (4) { 0x0006FFFF, One, Zero, 23 },
                Package (4) { 0x0006FFFF, 2, Zero, 16 },
                Package (4) { 0x0006FFFF, 3, Zero, 17 },
                Package (4) { 0x0007FFFF, Zero, Zero, 23 },
                Package (4) { 0x0007FFFF, One, Zero, 16 },
                Package (4) { 0x0007FFFF, 2, Zero, 17 },
                Package (4) { 0x0007FFFF, 3, Zero, 18 },
                Package (4) { 0x0008FFFF, Zero, Zero, 16 },
                Package (4) { 0x0008FFFF, One, Zero, 17 },
                Package (4) { 0x0008FFFF, 2, Zero, 18 },
                Package (4) { 0x0008FFFF, 3, Zero, 19 },
                Package (4) { 0x0009FFFF, Zero, Zero, 17 },
                Package (4) { 0x0009FFFF, One, Zero, 18 },
                Package (4) { 0x0009FFFF, 2, Zero, 19 },
                Package (4) { 0x0009FFFF, 3, Zero, 20 },
                Package (4) { 0x000AFFFF, Zero, Zero, 18 },
                Package (4) { 0x000AFFFF, One, Zero, 19 },
                Package (4) { 0x000AFFFF, 2, Zero, 20 },
                Package (4) { 0x000AFFFF, 3, Zero, 21 },
                Package (4) { 0x000BFFFF, Zero, Zero, 19 },
                Package (4) { 0x000BFFFF, One, Zero, 20 },
                Package (4) { 0x000BFFFF, 2, Zero, 21 },
                Package (4) { 0x000BFFFF, 3, Zero, 22 },
                Package (4) { 0x000CFFFF, Zero, Zero, 20 },
                Package (4) { 0x000CFFFF, One, Zero, 21 },
                Package (4) { 0x000CFFFF, 2, Zero, 22 },
                Package (4) { 0x000CFFFF, 3, Zero, 23 },
                Package (4) { 0x000DFFFF, Zero, Zero, 21 },
                Package (4) { 0x000DFFFF, One, Zero, 22 },
                Package (4) { 0x000DFFFF, 2, Zero, 23 },
                Package (4) { 0x000DFFFF, 3, Zero, 16 },
                Package (4) { 0x000EFFFF, Zero, Zero, 22 },
                Package (4) { 0x000EFFFF, One, Zero, 23 },
                Package (4) { 0x000EFFFF, 2, Zero, 16 },
                Package (4) { 0x000EFFFF, 3, Zero, 17 },
                Package (4) { 0x000FFFFF, Zero, Zero, 23 },
                Package (4) { 0x000FFFFF, One, Zero, 16 },
                Package (4) { 0x000FFFFF, 2, Zero, 17 },
                Package (4) { 0x000FFFFF, 3, Zero, 18 },
                Package (4) { 0x0010FFFF, Zero, Zero, 16 },
                Package (4) { 0x0010FFFF, One, Zero, 17 },
                Package (4) { 0x0010FFFF, 2, Zero, 18 },
                Package (4) { 0x0010FFFF, 3, Zero, 19 },
                Package (4) { 0x0011FFFF, Zero, Zero, 17 },
                Package (4) { 0x0011FFFF, One, Zero, 18 },
                Package (4) { 0x0011FFFF, 2, Zero, 19 },
                Package (4) { 0x0011FFFF, 3, Zero, 20 },
                Package (4) { 0x0012FFFF, Zero, Zero, 18 },
                Package (4) { 0x0012FFFF, One, Zero, 19 },
                Package (4) { 0x0012FFFF, 2, Zero, 20 },
                Package (4) { 0x0012FFFF, 3, Zero, 21 },
                Package (4) { 0x0013FFFF, Zero, Zero, 19 },
                Package (4) { 0x0013FFFF, One, Zero, 20 },
                Package (4) { 0x0013FFFF, 2, Zero, 21 },
                Package (4) { 0x0013FFFF, 3, Zero, 22 },
                Package (4) { 0x0014FFFF, Zero, Zero, 20 },
                Package (4) { 0x0014FFFF, One, Zero, 21 },
                Package (4) { 0x0014FFFF, 2, Zero, 22 },
                Package (4) { 0x0014FFFF, 3, Zero, 23 },
                Package (4) { 0x0015FFFF, Zero, Zero, 21 },
                Package (4) { 0x0015FFFF, One, Zero, 22 },
                Package (4) { 0x0015FFFF, 2, Zero, 23 },
                Package (4) { 0x0015FFFF, 3, Zero, 16 },
                Package (4) { 0x0016FFFF, Zero, Zero, 22 },
                Package (4) { 0x0016FFFF, One, Zero, 23 },
                Package (4) { 0x0016FFFF, 2, Zero, 16 },
                Package (4) { 0x0016FFFF, 3, Zero, 17 },
                Package (4) { 0x0017FFFF, Zero, Zero, 23 },
                Package (4) { 0x0017FFFF, One, Zero, 16 },
                Package (4) { 0x0017FFFF, 2, Zero, 17 },
                Package (4) { 0x0017FFFF, 3, Zero, 18 },
                Package (4) { 0x0018FFFF, Zero, Zero, 16 },
                Package (4) { 0x0018FFFF, One, Zero, 17 },
                Package (4) { 0x0018FFFF, 2, Zero, 18 },
                Package (4) { 0x0018FFFF, 3, Zero, 19 },
                Package (4) { 0x0019FFFF, Zero, Zero, 17 },
                Package (4) { 0x0019FFFF, One, Zero, 18 },
                Package (4) { 0x0019FFFF, 2, Zero, 19 },
                Package (4) { 0x0019FFFF, 3, Zero, 20 },
                Package (4) { 0x001AFFFF, Zero, Zero, 18 },
                Package (4) { 0x001AFFFF, One, Zero, 19 },
                Package (4) { 0x001AFFFF, 2, Zero, 20 },
                Package (4) { 0x001AFFFF, 3, Zero, 21 },
                Package (4) { 0x001BFFFF, Zero, Zero, 19 },
                Package (4) { 0x001BFFFF, One, Zero, 20 },
                Package (4) { 0x001BFFFF, 2, Zero, 21 },
                Package (4) { 0x001BFFFF, 3, Zero, 22 },
                Package (4) { 0x001CFFFF, Zero, Zero, 20 },
                Package (4) { 0x001CFFFF, One, Zero, 21 },
                Package (4) { 0x001CFFFF, 2, Zero, 22 },
                Package (4) { 0x001CFFFF, 3, Zero, 23 },
                Package (4) { 0x001DFFFF, Zero, Zero, 21 },
                Package (4) { 0x001DFFFF, One, Zero, 22 },
                Package (4) { 0x001DFFFF, 2, Zero, 23 },
                Package (4) { 0x001DFFFF, 3, Zero, 16 },
                Package (4) { 0x001EFFFF, Zero, Zero, 22 },
                Package (4) { 0x001EFFFF, One, Zero, 23 },
                Package (4) { 0x001EFFFF, 2, Zero, 16 },
                Package (4) { 0x001EFFFF, 3, Zero, 17 },
                Package (4) { 0x001FFFFF, Zero, Zero, 23 },
                Package (4) { 0x001FFFFF, One, Zero, 16 },
                Package (4) { 0x001FFFFF, 2, Zero, 17 },
                Package (4) { 0x001FFFFF, 3, Zero, 18 }
            })
            Method (_OSC, 4, Serialized)
            {
                CreateDWordField (Arg3, Zero, CDW1)
                If (Arg0 != ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766"))
                {
                    CDW1 |= 0x04    // unrecognized UUID
                    Return (Arg3)
                }
                If (Arg1 != One)
                {
                    CDW1 |= 0x08    // unrecognized revision
                    Return (Arg3)
                }
                CreateDWordField (Arg3, 8, CDW3)
                Local0 = (CDW3 & 0x1D)
                If (Local0 != CDW3)
                {
                    CDW1 |= 0x10    // capabilities masked
                }
                CDW3 = Local0
                Return (Arg3)
            }
            Method (_DSM, 4, NotSerialized)
            {
                If ((Arg0 == ToUUID ("E5C937D0-3553-4D7A-9117-EA4D19C3434D")) && (Arg1 >= 3))
                {
                    If (Arg2 == Zero)
                    {
                        Return (Buffer (2) { 0x01, 0x01 })
                    }
                    If (Arg2 == 8)
                    {
                        Return (One)    // no wait after power on and reset
                    }
                }
                Return (Buffer (One) { 0x00 })
            }
        }
        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
                IRQNoFlags () { 4 }
            })
        }
        Device (RTC0)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
                IRQNoFlags () { 8 }
            })
        }
        Device (RSVD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0600, 0x0600, 0x01, 0x80)
                Memory32Fixed (ReadWrite, 0xE0000000, 0x04000000)
                Memory32Fixed (ReadWrite, 0xFED50000, 0x0000000C)
            })
        }
    }
    Name (\_S3, Package (4) { One, One, Zero, Zero })
    Name (\_S5, Package (4) { Zero, Zero, Zero, Zero })
}
