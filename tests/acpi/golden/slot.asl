// What acpi/ssdt_slot.c makes for the sample machine of tests/acpi/sample.h: slot 0, root port
// 00:01.0, functions 0 and 1. Compiled with `iasl -oa`; see README in this directory.
DefinitionBlock ("", "SSDT", 2, "MINIVM", "SLOT00  ", 1)
{
    External (\_SB.PCI0, DeviceObj)

    Scope (\_SB.PCI0)
    {
        Device (RP00)
        {
            Name (_ADR, 0x00010000)
            OperationRegion (SPWR, SystemMemory, 0xFED50000, 0x0C)
            Field (SPWR, DWordAcc, NoLock, Preserve)
            {
                CTRL, 32,       // W: 0 off, 1 on
                STAT, 32,       // R: bit 0 on, bit 1 busy
                WAKE, 32        // R: functions that were woken; write one clears
            }
            Method (SPOL, 2, NotSerialized)
            {
                Local0 = Arg1
                While ((STAT & 0x02) && Local0)
                {
                    Sleep (Arg0)
                    Local0--
                }
            }
            Method (SWAI, 0, NotSerialized)
            {
                SPOL (One, 20)
                SPOL (10, 100)
                SPOL (100, 50)  // 15 times 5 s
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
                SPOL (100, 50)
            }
            PowerResource (PWRS, 0, 0)
            {
                Method (_STA, 0, NotSerialized)
                {
                    Return (STAT & One)
                }
                Method (_ON, 0, Serialized)
                {
                    CTRL = One
                    SWAI ()
                }
                Method (_OFF, 0, Serialized)
                {
                    CTRL = Zero
                    SWAI ()
                }
            }
            Name (_PR0, Package (1) { \_SB.PCI0.RP00.PWRS })
            Name (_PR3, Package (1) { \_SB.PCI0.RP00.PWRS })
            Method (_PS0, 0, NotSerialized) { }
            Method (_PS3, 0, NotSerialized) { }
            Device (FN00)
            {
                Name (_ADR, Zero)
                Name (_PR0, Package (1) { \_SB.PCI0.RP00.PWRS })
                Name (_PR3, Package (1) { \_SB.PCI0.RP00.PWRS })
                Method (_PS0, 0, NotSerialized) { }
                Method (_PS3, 0, NotSerialized) { }
            }
            Device (FN01)
            {
                Name (_ADR, One)
            }
        }
    }
    Scope (\_GPE)
    {
        Method (_E10, 0, NotSerialized)
        {
            Local0 = \_SB.PCI0.RP00.WAKE
            \_SB.PCI0.RP00.WAKE = Local0
            If (Local0 & 0xFF)
            {
                Notify (\_SB.PCI0.RP00.FN00, 0x02)
            }
        }
    }
}
