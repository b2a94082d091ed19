-- Damaged types that libbpf takes: whatever is read of them is there or raises, and nothing worse. Damage to the rest
-- of an object is what tests/fuzz/object_fuzz.c looks at.
local anatomy = require "helpers.anatomy"
local helper = require "helper"
local lp = require "luaprobe"

describe("an object whose types are damaged", function()
  local objects = {}
  for _, name in ipairs { "constants", "references", "probes" } do
    objects[#objects + 1] = helper.fixtures .. name .. ".bpf.o"
  end

  for seed = 1, 4 do
    it("is refused, or read as far as it goes (seed " .. seed .. ")", function()
      local out, err, status = helper.luaprobe_run(("tests/helpers/mutated.lua %d 200 %s"):format(seed,
        table.concat(objects, " ")))
      assert.are.same({ "", 0 }, { err, status })
      local read, errors, refused, strange = out:match "^(%d+) read, (%d+) errors, (%d+) refused\n(.*)$"
      assert.are.equal("", strange)
      assert.is_true(tonumber(read) > 30 and tonumber(errors) > 5 and tonumber(refused) > 30, out)
    end)
  end
end)

-- What libelf and libbpf take, in the version that Debian 12 has, and what then reads or writes beside the object.
describe("an object that is damaged where libbpf does not look", function()
  local put, fixture = anatomy.put, helper.read(helper.fixtures .. "references.bpf.o")
  local constants = helper.read(helper.fixtures .. "constants.bpf.o")

  local function refusal(bytes)
    local ok, reason = pcall(lp.open, { bytes = bytes, name = "damaged" })
    assert.is_false(ok)
    assert.are.same({ "EINVAL", "open" }, { reason.code, reason.stage })
    assert.is_truthy(reason.hint, reason.message)
    return reason.message:match "^damaged: damaged: (.*)$"
  end

  it("is not damaged yet", function() lp.open({ bytes = fixture }):close() end)

  it("is refused: a header of the other byte order, or with sections of another size", function()
    local text = "its ELF header contradicts itself, or is of another byte order"
    assert.are.equal(text, refusal(put(fixture, 6, "uint8_t", 2)))
    assert.are.equal(text, refusal(put(fixture, 0x3b, "uint16_t", 32)))
    assert.are.equal(text, refusal(put(fixture, 0x3f, "uint16_t", 0)))
  end)

  it("is refused: a section behind the end, names that do not end, two of the same types", function()
    local text = "its table of sections contradicts itself"
    local sections = anatomy.sections(fixture)
    assert.are.equal(text, refusal(put(fixture, sections[".maps"].entry + 0x18, "uint64_t", -8)))
    assert.are.equal(text, refusal(put(fixture, sections[".maps"].entry, "uint32_t", 0xffffff)))
    assert.are.equal(text, refusal(put(fixture, sections[".symtab"].entry + 0x38, "uint64_t", 8)))
    assert.are.equal(text, refusal(put(fixture, sections[".bss"].entry + 0x20, "uint64_t", 2 ^ 40)))
    local name = fixture:byte(sections[".BTF"].entry) + 256 * fixture:byte(sections[".BTF"].entry + 1)
    assert.are.equal(text, refusal(put(fixture, sections[".maps"].entry, "uint32_t", name)))
  end)

  it("is refused: a function that begins before its section, or ends within an instruction", function()
    local text = "its symbols or relocations contradict its sections"
    local enter = anatomy.symbol(fixture, "enter")
    assert.are.equal(text, refusal(put(put(fixture, enter + 8, "uint64_t", -8), enter + 16, "uint64_t", 16)))
    local sections = anatomy.sections(fixture)
    local code = sections["raw_tracepoint/sys_enter"]
    assert.are.equal(text, refusal(put(fixture, code.at + code.size - 8, "uint8_t", 0x18)))
  end)

  it("is refused: a symbol without a name or a section, a relocation without a symbol or a place", function()
    local text = "its symbols or relocations contradict its sections"
    local sections, enter = anatomy.sections(fixture), anatomy.symbol(fixture, "enter")
    assert.are.equal(text, refusal(put(fixture, enter, "uint32_t", 0xffffff)))
    assert.are.equal(text, refusal(put(fixture, enter + 6, "uint16_t", 0x300)))
    local relocations = sections[".relraw_tracepoint/sys_enter"]
    assert.are.equal(text, refusal(put(fixture, relocations.at + 12, "uint32_t", 0xffff)))
    assert.are.equal(text, refusal(put(fixture, relocations.at, "uint64_t", 2 ^ 32)))
  end)

  it("is refused: a section of variables that holds something else", function()
    local text = "its type information (BTF) contradicts itself"
    local at = anatomy.type(fixture, "datasec .maps")
    local _, int = anatomy.type(fixture, "int int")
    assert.are.equal(text, refusal(put(fixture, at + 12, "uint32_t", int)))
    assert.are.equal(text, refusal(put(fixture, anatomy.type(fixture, "func enter") + 8, "uint32_t", int)))
  end)

  -- libbpf 1.1 hands out its own error as the object.
  it("is refused: an extern of 2 GB", function()
    local array, id = anatomy.type(fixture, "array ")
    local damaged = put(fixture, array + 20, "uint32_t", 2 ^ 31)
    damaged = put(damaged, anatomy.type(fixture, "var LINUX_KERNEL_VERSION") + 8, "uint32_t", id)
    assert.are.equal("its type information (BTF) contradicts itself", refusal(damaged))
  end)

  it("is refused: a variable beside its section, a member beside its struct", function()
    local hidden = anatomy.symbol(fixture, "hidden")
    assert.are.equal("hidden does not lie within .bss",
      refusal(put(put(fixture, hidden + 8, "uint64_t", 12), hidden + 16, "uint64_t", 0)))
    local at = anatomy.type(constants, "struct settings")
    assert.are.equal("a does not lie within settings", refusal(put(constants, at + 12 + 8, "uint32_t", 28 * 8)))
  end)

  it("is refused: an array of very many elements that take no space", function()
    local damaged = put(constants, anatomy.type(constants, "array ") + 20, "uint32_t", 1e6)
    damaged = put(damaged, anatomy.type(constants, "int int") + 8, "uint32_t", 0)
    assert.are.equal("an array of 1000000 elements that take no space", refusal(damaged))
  end)

  it("is named without driving the terminal", function()
    local _, reason = pcall(lp.open, { bytes = "", name = "a\27[31mb\n" })
    assert.are.equal("a?[31mb?: the object is empty", reason.message)
  end)
end)
